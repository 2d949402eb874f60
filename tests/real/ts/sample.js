// The official TypeScript SDK as client and worker against any server that speaks Temporal's protocol.
//
// usage: node sample.js ADDRESS [NAMESPACE]      prints one line a case, then "N passed, N failed"
const { Connection, Client, WorkflowFailedError, WithStartWorkflowOperation } = require('@temporalio/client');
const { Worker, NativeConnection, Runtime, DefaultLogger } = require('@temporalio/worker');
const { Context, ApplicationFailure, CancelledFailure } = require('@temporalio/activity');
const assert = require('assert');

let localTries = 0;
const activities = {
  async echo(x) { return x; },
  // Fails twice, then says which attempt it is and what the one before left in its heartbeat.
  async flaky() {
    const info = Context.current().info;
    if (info.attempt <= 2) {
      Context.current().heartbeat(info.attempt * 10);
      throw ApplicationFailure.create({ message: 'not yet', type: 'Flaky' });
    }
    return `${info.attempt} after ${info.heartbeatDetails}`;
  },
  async fatal() { throw ApplicationFailure.create({ message: 'never', type: 'Fatal', nonRetryable: true, details: [7] }); },
  async patient() {
    for (;;) {
      Context.current().heartbeat('here');
      await Context.current().sleep('100ms');
    }
  },
  async once() {
    if (localTries++ % 2 === 0) throw new Error('once more');
    return 'local';
  },
};

let passed = 0, failed = 0;

async function test(name, f) {
  let timer;
  try {
    await Promise.race([f(), new Promise((_, no) => { timer = setTimeout(() => no(new Error('no end in 60 s')), 60000); })]);
    passed++;
    console.log('ok  ', name);
  } catch (e) {
    failed++;
    console.log('FAIL', name + ':', String(e && e.message).split('\n')[0]);
  } finally {
    clearTimeout(timer);
  }
}

async function failure(handle) {
  try {
    await handle.result();
  } catch (e) {
    assert(e instanceof WorkflowFailedError, String(e));
    return e.cause;
  }
  throw new Error('it did not fail');
}

async function until(f) {
  for (;;) {
    if (await f()) return;
    await new Promise((r) => setTimeout(r, 50));
  }
}

async function round(client, taskQueue) {
  let n = 0;
  const start = (type, args = [], more = {}) =>
    client.workflow.start(type, { taskQueue, workflowId: `${taskQueue}-${n++}`, args, ...more });

  await test('activities, retries, heartbeat details', async () =>
    assert.equal(await (await start('activities')).result(), 'x 3 after 20'));
  await test('a failure keeps its type and details', async () => {
    const e = await failure(await start('fails'));
    assert.deepEqual([e.cause.type, e.cause.nonRetryable, e.cause.details], ['Fatal', true, [7]]);
  });
  await test('timers', async () => assert.equal(await (await start('timers')).result(), true));
  await test('signals and queries', async () => {
    const h = await start('sum');
    for (const i of [1, 2, 3]) await h.signal('add', i);
    await until(async () => (await h.query('sum')) === 6);
    await assert.rejects(h.query('nothing'), /nothing/);
    await h.signal('end');
    assert.equal(await h.result(), 6);
    assert.equal(await h.query('sum'), 6); // by replay
  });
  await test('updates', async () => {
    const h = await start('sum');
    assert.equal(await h.executeUpdate('add', { args: [4] }), 4);
    await assert.rejects(h.executeUpdate('add', { args: [-1] }), (e) => /less than nothing/.test(e.cause.message));
    const u = await h.startUpdate('add', { args: [5], waitForStage: 'ACCEPTED' });
    assert.equal(await u.result(), 9);
    await h.signal('end');
    assert.equal(await h.result(), 9);
  });
  await test('children', async () => assert.equal(await (await start('parent')).result(), 'true 5 true'));
  await test('continue as new', async () => assert.equal(await (await start('again', [1])).result(), 3));
  await test('cancellation', async () => {
    const h = await start('cancelled');
    await until(async () => ((await h.describe()).raw.pendingActivities || []).some((a) => a.lastHeartbeatTime));
    await h.cancel();
    assert((await failure(h)) instanceof CancelledFailure);
  });
  await test('termination', async () => {
    const h = await start('sum');
    await h.terminate('enough');
    assert.equal((await failure(h)).name, 'TerminatedFailure');
  });
  await test('local activity, patch, random', async () =>
    assert.equal(await (await start('recorded')).result(), 'local true 36 true'));
  await test('ids', async () => {
    const h = await start('again', [3]);
    await h.result();
    await assert.rejects(client.workflow.start('again', { taskQueue, workflowId: h.workflowId, args: [3],
      workflowIdReusePolicy: 'REJECT_DUPLICATE' }), { name: 'WorkflowExecutionAlreadyStartedError' });
    await assert.rejects(client.workflow.getHandle('nobody-' + taskQueue).signal('x'), { name: 'WorkflowNotFoundError' });
    const s = await client.workflow.signalWithStart('sum', { taskQueue, workflowId: taskQueue + '-s', signal: 'end', signalArgs: [] });
    assert.equal(await s.result(), 0);
  });
  await test('describe and list', async () => {
    const h = await start('again', [3], { memo: { why: 'a test' } });
    await h.result();
    const d = await h.describe();
    assert.deepEqual([d.status.name, d.memo.why, d.type], ['COMPLETED', 'a test', 'again']);
    await until(async () => {
      for await (const w of client.workflow.list({ query: `WorkflowId = '${h.workflowId}'` })) return w.workflowId === h.workflowId;
    });
  });
}

async function main() {
  const [address, namespace = 'default'] = process.argv.slice(2);
  if (!address) {
    console.error('usage: node sample.js ADDRESS [NAMESPACE]');
    process.exit(2);
  }
  Runtime.install({ logger: new DefaultLogger('ERROR', () => {}) });
  const connection = await NativeConnection.connect({ address });
  const client = new Client({ connection: await Connection.connect({ address }), namespace });
  for (const maxCachedWorkflows of [100, 0]) {
    const taskQueue = `ts-${Date.now()}-${maxCachedWorkflows}`;
    const worker = await Worker.create({ connection, namespace, taskQueue, activities, maxCachedWorkflows,
      workflowsPath: require.resolve('./workflows.js'), ...(maxCachedWorkflows ? {} : { stickyQueueScheduleToStartTimeout: '1s' }) });
    console.log('with a cache of', maxCachedWorkflows);
    await worker.runUntil(round(client, taskQueue));
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main().catch((e) => {
  console.log('FAIL:', e);
  process.exit(1);
});
