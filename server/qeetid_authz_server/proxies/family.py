"""What proxies ask, as a family of routes."""

from qeetid_authz_server.parts import Family, Parts
from qeetid_authz_server.proxies.endpoints import routes
from qeetid_authz_server.proxies.judging import Judge
from qeetid_authz_server.proxies.keeping import Keeper
from qeetid_authz_server.proxies.outcomes import ProxyCollector
from qeetid_authz_server.telemetry.metrics import Instruments


def make(parts: Parts, instruments: Instruments) -> Family:
    """The endpoints for proxies; none where no file of routes is configured."""
    path = parts.settings.routes
    if path is None:
        return Family([])
    authorizer = parts.authorizer
    keeper = Keeper(path, authorizer.is_permission)
    collector = ProxyCollector(keeper)
    instruments.add(collector)
    judge = Judge(parts.settings, authorizer, parts.counts)
    return Family(routes(keeper, judge, collector.outcomes), [keeper.running])
