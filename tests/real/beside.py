"""Temporal's Python SDK beside ff: its worker's activity called from a Lua workflow, its client starting that workflow.

usage: beside.py ADDRESS      with an `ff worker --vertical python` there whose toolbox has calls_python, adds, asks
"""
import asyncio
import os
import sys
import uuid
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker


@activity.defn
async def double(arg: dict) -> dict:
    return {"doubled": arg["n"] * 2, "by": "python", "run": activity.info().workflow_id}


async def main():
    client = await Client.connect(sys.argv[1])
    name = lambda: "py-" + uuid.uuid4().hex
    async with Worker(client, task_queue="snakes-queue", activities=[double]):
        r = await client.execute_workflow("calls_python", {"parameters": {"n": 21}}, id=name(), task_queue="python-queue",
                                          execution_timeout=timedelta(seconds=40))
        assert r == {"doubled": 42, "by": "python"}, r
    r = await client.execute_workflow("adds", {"parameters": {"a": 1, "b": 2}}, id=name(), task_queue="python-queue")
    assert r["sum"] == 3, r
    h = await client.start_workflow("asks", {}, id=name(), task_queue="python-queue")
    await h.signal("put", "from python")
    for _ in range(100):
        state = await h.query("state")
        if state["got"]:
            break
        await asyncio.sleep(0.05)
    assert state == {"got": ["from python"]}, state
    await h.signal("end")
    assert (await h.result())["got"] == ["from python"]
    h = await client.start_workflow("asks", {}, id=name(), task_queue="python-queue")
    await h.cancel()
    try:
        await h.result()
        raise SystemExit("cancelled, and it ended well")
    except WorkflowFailureError as e:
        assert type(e.cause).__name__ == "CancelledError", e.cause
    print("ok")


asyncio.run(main())
sys.stdout.flush()
os._exit(0)  # the SDK's native core may crash while the interpreter ends
