"""The routes of AuthZEN."""

from secrets import token_bytes
from time import monotonic
from typing import Final

from aiohttp import web

from qeetid_authz.postgres.names import Names
from qeetid_authz_server.authzen.entrance import Entrance
from qeetid_authz_server.authzen.evaluations import EvaluationRoutes
from qeetid_authz_server.authzen.judging import Judge
from qeetid_authz_server.authzen.mapping import KeyMapping, KeyPattern
from qeetid_authz_server.authzen.metadata import MetadataRoutes
from qeetid_authz_server.authzen.paging import Tokens
from qeetid_authz_server.authzen.people import People
from qeetid_authz_server.authzen.searches import SearchRoutes
from qeetid_authz_server.authzen.seeking import Seeker
from qeetid_authz_server.parts import Family, Parts
from qeetid_authz_server.settings import SubjectIds

_TENANTS: Final = ("", "/{tenant:[^/]+}")
"""What comes before a path: nothing for the caller's tenant, or its id."""


def make(parts: Parts) -> Family:
    """Evaluations, searches and, where a public URL is configured, metadata.

    Resources are searched only where permissions of instances count: the instances
    that keys name are the only ones known.
    """
    settings, engine = parts.settings, parts.authorizer
    mapping = KeyMapping(
        KeyPattern.parse(settings.authzen_key), settings.authzen_instances
    )
    entrance = Entrance(parts.gate, parts.bodies)
    people = People(engine, Names(parts.lookups))
    judge = Judge(engine, mapping)
    asking = EvaluationRoutes(engine, entrance, people, judge, settings.batch_limit)
    searching = SearchRoutes(
        engine,
        entrance,
        people,
        Seeker(engine, mapping, judge),
        Tokens(token_bytes(32), monotonic),
        by_email=settings.authzen_subject_id is SubjectIds.EMAIL,
    )
    offered = {
        "access_evaluation_endpoint": ("/access/v1/evaluation", asking.evaluation),
        "access_evaluations_endpoint": ("/access/v1/evaluations", asking.evaluations),
        "search_subject_endpoint": ("/access/v1/search/subject", searching.subjects),
        "search_action_endpoint": ("/access/v1/search/action", searching.actions),
    }
    if mapping.has_instances:
        path = "/access/v1/search/resource"
        offered["search_resource_endpoint"] = (path, searching.resources)
    routes = [
        web.post(tenant + path, handler)
        for tenant in _TENANTS
        for path, handler in offered.values()
    ]
    if settings.public_url is not None:
        endpoints = {name: path for name, (path, _) in offered.items()}
        metadata = MetadataRoutes(settings.public_url, endpoints)
        routes += [
            web.get(metadata.path, metadata.get, allow_head=False),
            web.get(
                metadata.path + _TENANTS[1], metadata.get_of_tenant, allow_head=False
            ),
        ]
    return Family(routes)
