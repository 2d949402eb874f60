// Workflows of the TypeScript SDK's sample (see sample.js).
const wf = require('@temporalio/workflow');

const acts = wf.proxyActivities({ startToCloseTimeout: '20s', heartbeatTimeout: '5s',
  cancellationType: wf.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '10ms', maximumAttempts: 5 } });
const local = wf.proxyLocalActivities({ startToCloseTimeout: '5s', retry: { initialInterval: '10ms', maximumAttempts: 3 } });

exports.activities = async () => {
  const [a, b] = await Promise.all([acts.echo('x'), acts.flaky()]);
  return `${a} ${b}`;
};

exports.fails = async () => { await acts.fatal(); };

exports.timers = async () => {
  let cancelled = false;
  await wf.CancellationScope.withTimeout('50ms', () => wf.sleep('1h')).catch((e) => { cancelled = wf.isCancellation(e); });
  await wf.sleep('20ms');
  return cancelled;
};

// Adds up what signals and updates bring, tells queries, and ends at "end".
exports.sum = async () => {
  let sum = 0, done = false;
  wf.setHandler(wf.defineQuery('sum'), () => sum);
  wf.setHandler(wf.defineSignal('add'), (n) => { sum += n; });
  wf.setHandler(wf.defineSignal('end'), () => { done = true; });
  wf.setHandler(wf.defineUpdate('add'), async (n) => { await wf.sleep('10ms'); sum += n; return sum; },
    { validator: (n) => { if (n < 0) throw new Error('less than nothing'); } });
  await wf.condition(() => done && wf.allHandlersFinished());
  return sum;
};

exports.parent = async () => {
  const timers = await wf.executeChild('timers');
  const child = await wf.startChild('sum');
  await child.signal('add', 5);
  await child.signal('end');
  const sum = await child.result();
  const failed = await wf.executeChild('fails').then(() => false, (e) => e instanceof wf.ChildWorkflowFailure);
  return `${timers} ${sum} ${failed}`;
};

exports.again = async (n) => (n < 3 ? wf.continueAsNew(n + 1) : n);

exports.cancelled = async () => {
  try {
    await acts.patient();
  } catch (e) {
    if (wf.isCancellation(e)) await wf.CancellationScope.nonCancellable(() => acts.echo('clean'));
    throw e;
  }
};

exports.recorded = async () => {
  const out = await local.once();
  await wf.sleep('20ms');
  return `${out} ${wf.patched('change')} ${wf.uuid4().length} ${Math.random() < 1}`;
};
