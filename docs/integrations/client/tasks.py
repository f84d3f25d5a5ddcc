"""A sidecar asked by the tasks of an event loop."""

import asyncio
import os

from qeetid_authz import AsyncSidecarClient


async def main() -> None:
    async with await AsyncSidecarClient.open(
        os.environ["SIDECAR"], api_key=os.environ["KEY"]
    ) as authz:
        caller = await authz.authenticate(os.environ["CREDENTIAL"])
        if await authz.can(caller, "billing:write"):
            print(caller.id, "may")


asyncio.run(main())
