/* Every setting: one line a key, from which the parser, the environment names, `ff config` and docs are made.
 *
 * X(ident, "section.key", "ENVIRONMENT", default, flags, "what it is")
 * A key without a section is written plainly (engine: embedded). flags: CONFIG_SECRET is never printed,
 * CONFIG_TIGHTEN may be set by an untrusted project when it only makes things stricter. */
X(state_dir, "state.dir", "FF_STATE_DIR", "", 0, "folder of the state")
X(toolbox, "toolbox.path", "FF_TOOLBOX", "", 0, "folders with workflows/ and modules/, separated by ':'")
X(fuzz_tools, "fuzz.tools", "FF_TOOLS", "", 0,
  "folders that fuzzing sees read-only, separated by ':': packages, toolchains (docs/fuzzing.md)")
X(engine, "engine", "FF_ENGINE", "embedded", 0, "embedded or temporal")
X(namespace, "namespace", "FF_NAMESPACE", "", 0,
  "the engine's namespace that commands and workers are about (default: default, on a cluster temporal.namespace)")
X(store, "store", "FF_STORE", "local", 0, "local or s3")
X(server_url, "server.url", "FUZZFORGE_API_URL", "", 0,
  "URL of a running server that commands ask, instead of a state of this machine")
X(server_token, "server.token", "FF_SERVER_TOKEN", "", CONFIG_SECRET, "token for it")
X(server_token_file, "server.token_file", "FF_SERVER_TOKEN_FILE", "", 0,
  "file with the token (default: for a server of this machine, the state folder's)")
X(server_ca_file, "server.ca_file", "FF_SERVER_CA_FILE", "", 0, "certificates to trust instead of the system's")
X(server_cert, "server.cert", "FF_SERVER_CERT", "", 0, "file of this client's certificate")
X(server_key, "server.key", "FF_SERVER_KEY", "", 0, "file of its private key")
X(server_insecure, "server.insecure", "FF_SERVER_INSECURE", "false", 0, "true: the server's certificate is not checked")
X(server_retry, "server.retry", "FF_SERVER_RETRY", "60s", 0, "how long a server that goes away during a run is waited for")
X(server_plain_http, "server.plain_http", "FF_SERVER_PLAIN_HTTP", "false", 0, "true: http also to other machines")
X(temporal_address, "temporal.address", "TEMPORAL_ADDRESS", "localhost:7233", 0, "host:port of a Temporal frontend")
X(temporal_namespace, "temporal.namespace", "TEMPORAL_NAMESPACE", "default", 0, "namespace")
X(temporal_tls, "temporal.tls", "TEMPORAL_TLS", "auto", 0,
  "true, false, or auto: when any other setting of TLS or an API key is there")
X(temporal_tls_ca, "temporal.tls_ca", "TEMPORAL_TLS_CA", "", 0,
  "file of the certificates that are trusted (default: the system's)")
X(temporal_tls_cert, "temporal.tls_cert", "TEMPORAL_TLS_CERT", "", 0, "file of this client's certificate")
X(temporal_tls_key, "temporal.tls_key", "TEMPORAL_TLS_KEY", "", 0, "file of its private key")
X(temporal_tls_server_name, "temporal.tls_server_name", "TEMPORAL_TLS_SERVER_NAME", "", 0,
  "name that the server's certificate has, if it is not the address")
X(temporal_api_key, "temporal.api_key", "TEMPORAL_API_KEY", "", CONFIG_SECRET, "API key, as Temporal Cloud gives them")
X(s3_endpoint, "s3.endpoint", "S3_ENDPOINT", "", 0, "URL of the S3 service")
X(s3_access_key, "s3.access_key", "S3_ACCESS_KEY", "", CONFIG_SECRET, "access key")
X(s3_secret_key, "s3.secret_key", "S3_SECRET_KEY", "", CONFIG_SECRET, "secret key")
X(s3_bucket, "s3.bucket", "S3_BUCKET", "fuzzforge", 0, "bucket")
X(s3_region, "s3.region", "S3_REGION", "us-east-1", 0, "region")
X(s3_session_token, "s3.session_token", "FF_S3_SESSION_TOKEN", "", CONFIG_SECRET, "token of temporary credentials")
X(s3_credentials_file, "s3.credentials_file", "FF_S3_CREDENTIALS_FILE", "", 0,
  "file with the keys, as AWS's programs have it (default: ~/.aws/credentials), when none are set here")
X(s3_profile, "s3.profile", "FF_S3_PROFILE", "", 0, "section of that file (default: default)")
X(s3_prefix, "s3.prefix", "FF_S3_PREFIX", "", 0, "what all keys begin with, 'team/project/': several stores in one bucket")
X(s3_style, "s3.style", "FF_S3_STYLE", "auto", 0, "path, virtual or auto: the bucket in the path or in the host's name")
X(s3_ca_file, "s3.ca_file", "FF_S3_CA_FILE", "", 0, "certificates to trust instead of the system's")
X(s3_parallel, "s3.parallel", "FF_S3_PARALLEL", "8", 0, "transfers at a time, at most")
X(s3_retry, "s3.retry", "FF_S3_RETRY", "60s", 0, "how long a request that fails is tried again")
X(s3_key_file, "s3.key_file", "FF_S3_KEY_FILE", "", 0,
  "keys that encrypt what is stored, 64 hexadecimal digits a line; the first one writes")
X(s3_keep_targets, "s3.keep_targets", "FF_S3_KEEP_TARGETS", "0", 0,
  "'ff store init': targets that nobody puts again expire after this; 0: never")
X(s3_keep_results, "s3.keep_results", "FF_S3_KEEP_RESULTS", "0", 0, "the same for findings, reports and artifacts")
X(s3_keep_corpora, "s3.keep_corpora", "FF_S3_KEEP_CORPORA", "0", 0, "the same for corpora")
X(cache_dir, "cache.dir", "CACHE_DIR", "", 0, "folder of cached workspaces (default: in the state folder)")
X(cache_max_size, "cache.max_size", "CACHE_MAX_SIZE", "10GB", 0, "bound of the cache")
X(cache_ttl, "cache.ttl", "CACHE_TTL", "7d", 0, "how long an unused workspace is kept")
X(worker_vertical, "worker.vertical", "WORKER_VERTICAL", "", 0, "vertical that a worker serves")
X(worker_slots, "worker.max_concurrent_activities", "MAX_CONCURRENT_ACTIVITIES", "0", 0,
  "activities at a time for each vertical; 0: the number of CPUs, and one; on a cluster 16 more while they are brief")
X(sandbox_require, "sandbox.require", "FF_SANDBOX_REQUIRE", "false", CONFIG_TIGHTEN,
  "true refuses to run where the kernel lacks a protection")
X(sandbox_network, "sandbox.network", "FF_SANDBOX_NETWORK", "full", 0,
  "the most that a workflow may grant its modules: none, loopback or full")
X(sandbox_max_memory, "sandbox.max_memory", "FF_SANDBOX_MAX_MEMORY", "auto", 0,
  "the most memory that a worker gives an activity, whatever it asks for; auto: three quarters of the machine's; 0: no bound")
X(sandbox_max_disk, "sandbox.max_disk", "FF_SANDBOX_MAX_DISK", "auto", 0,
  "the same for what it may write; auto: half of what is free when it begins")
X(sandbox_max_pids, "sandbox.max_pids", "FF_SANDBOX_MAX_PIDS", "auto", 0, "the same for its processes and threads; auto: 4096")
X(git_ca_file, "git.ca_file", "GIT_SSL_CAINFO", "", 0,
  "certificates to trust when a repository is fetched, instead of the system's")
X(target_max_entries, "target.max_entries", "FF_TARGET_MAX_ENTRIES", "1000000", 0,
  "files and folders of a target; what is over a bound is left out, named, and makes the run incomplete")
X(target_max_size, "target.max_size", "FF_TARGET_MAX_SIZE", "50GB", 0, "bytes of a target in all")
X(target_max_path, "target.max_path", "FF_TARGET_MAX_PATH", "4096", 0, "bytes of a path in a target")
X(target_max_depth, "target.max_depth", "FF_TARGET_MAX_DEPTH", "512", 0, "folders above a file of a target")
X(archive_max_entries, "archive.max_entries", "FF_ARCHIVE_MAX_ENTRIES", "200000", 0, "members of an archive")
X(archive_max_size, "archive.max_size", "FF_ARCHIVE_MAX_SIZE", "4GB", 0,
  "unpacked bytes of an archive, and bytes of a repository that is fetched")
X(archive_max_ratio, "archive.max_ratio", "FF_ARCHIVE_MAX_RATIO", "100", 0,
  "unpacked bytes of an archive over its packed ones, above 64 MB")
X(quota_default, "quota.default", "FF_QUOTA_DEFAULT", "", 0,
  "what a namespace may use: runs=N (at a time) storage=SIZE cpu=TIME (a day); empty: no bounds")
X(quota_namespaces, "quota.namespaces", "FF_QUOTA_NAMESPACES", "", 0,
  "the same for single ones: team-a runs=4 cpu=2h; team-b storage=10GB")
X(runs_keep, "runs.keep", "FF_RUNS_KEEP", "30d", 0, "how long `ff clean` keeps finished runs")
X(secrets_key, "secrets.key", "FF_SECRETS_KEY", "", CONFIG_SECRET,
  "key of one's own for the fingerprints of secrets")
