"""The table of calls in docs/temporal.md beside the server: every method that the Python SDK knows is in it, and answers as it says:
one that is not there is UNIMPLEMENTED, with its name, and any other is not.

usage (with the Python of the SDK): calls.py ADDRESS docs/temporal.md
"""
import asyncio
import os
import re
import sys

import temporalio.api.operatorservice.v1 as operator
import temporalio.api.workflowservice.v1 as workflow
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode


def table(path):
    """Name of a call -> what the table says: yes, partly, no."""
    says = {}
    for line in open(path):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) > 1 and cells[1] in ("yes", "partly", "no"):
            says.update((name, cells[1]) for name in re.findall(r"\b[A-Z][A-Za-z]+\b", cells[0]))
    return says


async def main():
    says, wrong, count = table(sys.argv[2]), [], 0
    client = await Client.connect(sys.argv[1])
    for service, messages in ((client.workflow_service, workflow), (client.operator_service, operator)):
        for method in [m for m in dir(service) if not m.startswith("_")]:
            count += 1
            name = "".join(word.capitalize() for word in method.split("_"))
            try:
                await getattr(service, method)(getattr(messages, name + "Request")())
                missing = False
            except RPCError as e:
                missing = e.status == RPCStatusCode.UNIMPLEMENTED
                if missing and name not in e.message:
                    wrong.append(f"{name}: {e.message}")
            if name not in says:
                wrong.append(f"{name} is not in the table")
            elif missing != (says[name] == "no"):
                wrong.append(f"{name}: the table says {says[name]}")
    for w in wrong:
        print("FAIL", w)
    print(f"{count} calls, {len(wrong)} wrong")
    return 1 if wrong or count < 100 else 0


code = asyncio.run(main())
sys.stdout.flush()
os._exit(code)  # the SDK's native core may crash while the interpreter ends
