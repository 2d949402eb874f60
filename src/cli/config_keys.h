/* Every setting: one line a key, from which the parser, the environment names, `ff config` and docs are made.
 *
 * X(ident, "section.key", "ENVIRONMENT", default, flags, "what it is")
 * A key without a section is written plainly (engine: embedded). flags: CONFIG_SECRET is never printed,
 * CONFIG_TIGHTEN may be set by an untrusted project when it only makes things stricter. */
X(state_dir, "state.dir", "FF_STATE_DIR", "", 0, "folder of the state")
X(toolbox, "toolbox.path", "FF_TOOLBOX", "", 0, "folders with workflows/ and modules/, separated by ':'")
X(engine, "engine", "FF_ENGINE", "embedded", 0, "embedded or temporal")
X(store, "store", "FF_STORE", "local", 0, "local or s3")
X(server_url, "server.url", "FUZZFORGE_API_URL", "", 0, "URL of a running server")
X(temporal_address, "temporal.address", "TEMPORAL_ADDRESS", "localhost:7233", 0, "host:port of a Temporal frontend")
X(temporal_namespace, "temporal.namespace", "TEMPORAL_NAMESPACE", "default", 0, "namespace")
X(s3_endpoint, "s3.endpoint", "S3_ENDPOINT", "", 0, "URL of the S3 service")
X(s3_access_key, "s3.access_key", "S3_ACCESS_KEY", "", CONFIG_SECRET, "access key")
X(s3_secret_key, "s3.secret_key", "S3_SECRET_KEY", "", CONFIG_SECRET, "secret key")
X(s3_bucket, "s3.bucket", "S3_BUCKET", "fuzzforge", 0, "bucket")
X(s3_region, "s3.region", "S3_REGION", "us-east-1", 0, "region")
X(cache_dir, "cache.dir", "CACHE_DIR", "", 0, "folder of cached workspaces (default: in the state folder)")
X(cache_max_size, "cache.max_size", "CACHE_MAX_SIZE", "10GB", 0, "bound of the cache")
X(cache_ttl, "cache.ttl", "CACHE_TTL", "7d", 0, "how long an unused workspace is kept")
X(worker_vertical, "worker.vertical", "WORKER_VERTICAL", "", 0, "vertical that a worker serves")
X(worker_slots, "worker.max_concurrent_activities", "MAX_CONCURRENT_ACTIVITIES", "0", 0,
  "activities at a time for each vertical; 0: the number of CPUs")
X(sandbox_require, "sandbox.require", "FF_SANDBOX_REQUIRE", "false", CONFIG_TIGHTEN,
  "true refuses to run where the kernel lacks a protection")
X(runs_keep, "runs.keep", "FF_RUNS_KEEP", "30d", 0, "how long `ff clean` keeps finished runs")
X(secrets_key, "secrets.key", "FF_SECRETS_KEY", "", CONFIG_SECRET,
  "key of one's own for the fingerprints of secrets")
