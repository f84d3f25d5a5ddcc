"""Adapters for web frameworks, each in the module that is named like it.

    from qeetid_authz.frameworks.fastapi import requires

`requires("billing:write")` reads the same in all of them. Who sends a request is told
from its `Authorization` header once; a view that requires permissions is refused with a
401, a 403 or a 503 in its framework's own way. Why is in the log `qeetid_authz`, never in
a response.
"""
