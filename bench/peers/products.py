"""All that answer, ourselves first."""

from bench.peers.casbin import CASBIN, CASBIN_TUNED
from bench.peers.cedar import CEDAR, CEDAR_TUNED
from bench.peers.cerbos import CERBOS
from bench.peers.hosted import HOSTED
from bench.peers.ours import OURS
from bench.peers.rego import OPA, OPA_LOOKUP, REGO_CPP

PRODUCTS = (
    OURS,
    CASBIN,
    CASBIN_TUNED,
    CEDAR,
    CEDAR_TUNED,
    OPA,
    OPA_LOOKUP,
    REGO_CPP,
    CERBOS,
    HOSTED,
)
