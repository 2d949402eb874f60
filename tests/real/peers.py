"""Servers of other people for tests: started on loopback, waited for, always stopped."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("FF_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fuzzforge")
TEMPORAL = CACHE / "bin" / "temporal"
PYTHON = CACHE / "python" / "bin" / "python"
NODE_MODULES = CACHE / "node" / "node_modules"
GO_SAMPLE = CACHE / "bin" / "go-sample"


def need(*parts):
    """Makes sure that the programs are in the cache."""
    subprocess.run([SOURCE / "tools" / "peers", *parts], check=True, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stopped:
    """A child process that ends with the `with` block."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ff-real-"))
        self.process = None

    def start(self, args, **more):
        self.log = self.dir / "log"
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class TemporalServer(Stopped):
    """Temporal's own development server, with a file."""

    def __init__(self, *options, ip="127.0.0.1"):
        super().__init__()
        self.port = free_port()
        self.ip, self.address = ip, f"{ip}:{self.port}"
        self.options = options
        self.up()

    def up(self):
        """Starts it (again, on the same file)."""
        bind = self.ip if self.ip == "127.0.0.1" else "0.0.0.0"  # on any other its parts do not find each other
        self.start([TEMPORAL, "server", "start-dev", "--headless", "--port", self.port, "--ip", bind, "--db-filename", self.dir / "db",
                    "--log-level", "error", *self.options])
        end = time.monotonic() + 60
        while "SERVING" not in self.cli("operator", "cluster", "health", check=None).stdout:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise SystemExit("the Temporal server did not start:\n" + self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def cli(self, *args, check=0, namespace=None, timeout=60):
        """The official command line against this server."""
        return cli(self.address, *args, check=check, namespace=namespace, timeout=timeout)


def cli(address, *args, check=0, namespace=None, timeout=60):
    command = [TEMPORAL, *args, "--address", address, *(["--namespace", namespace] if namespace else [])]
    p = subprocess.run([str(a) for a in command], capture_output=True, text=True, timeout=timeout,
                       env={**os.environ, "NO_COLOR": "1", "TEMPORAL_CLI_DISABLE_UPDATE_CHECK": "1"})
    if check is not None and p.returncode != check:
        raise SystemExit(f"temporal {' '.join(map(str, args))}: exit {p.returncode}, wanted {check}\n{p.stdout}\n{p.stderr}")
    return p


MINIO = CACHE / "bin" / "minio"
VERSITYGW = CACHE / "bin" / "versitygw"
BOTO3_PYTHON = CACHE / "boto3" / "bin" / "python"


class S3Server(Stopped):
    """A real S3 service, on loopback unless another address is given: 'minio', 'minio-tls' (a certificate of its own: .ca) or 'versitygw'."""

    key, secret = "fftestkey", "fftestsecret"

    def __init__(self, kind="minio", ip="127.0.0.1"):
        super().__init__()
        self.kind, self.ip = kind, ip
        self.port = free_port()
        self.tls = kind.endswith("-tls")
        self.url = f"http{'s' if self.tls else ''}://{'localhost' if ip == '127.0.0.1' else ip}:{self.port}"
        self.data = self.dir / "data"
        self.data.mkdir()
        self.ca = None
        if self.tls:
            self.certificate()
        self.up()

    def certificate(self):
        certs = self.dir / "certs"
        certs.mkdir()
        self.ca = certs / "public.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-keyout", certs / "private.key", "-out", self.ca, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,DNS:suite.localhost,IP:127.0.0.1"], check=True, capture_output=True)

    def up(self, **more):
        """Starts it (again, on the same files), with more in its environment."""
        if self.kind == "versitygw":
            self.start([VERSITYGW, "--port", f"{self.ip}:{self.port}", "posix", self.data],
                       env={**os.environ, "ROOT_ACCESS_KEY": self.key, "ROOT_SECRET_KEY": self.secret})
        else:
            self.start([MINIO, "server", "--quiet", "--address", f"{self.ip}:{self.port}",
                        *(["--certs-dir", self.dir / "certs"] if self.tls else []), self.data],
                       env={**os.environ, "MINIO_ROOT_USER": self.key, "MINIO_ROOT_PASSWORD": self.secret, "MINIO_DOMAIN": "localhost",
                            "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "HOME": str(self.dir)} | more)
        end = time.monotonic() + 60
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise SystemExit(f"{self.kind} did not start:\n" + self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def temporary_keys(self):
        """(key, secret, session token) of an hour, from the service itself."""
        ask = ("import boto3, sys\nc = boto3.client('sts', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3],"
               " region_name='us-east-1')\nk = c.assume_role(RoleArn='arn:x:ignored:by:minio:', RoleSessionName='ff-test')['Credentials']\n"
               "print(k['AccessKeyId'], k['SecretAccessKey'], k['SessionToken'])")
        p = subprocess.run([BOTO3_PYTHON, "-c", ask, self.url, self.key, self.secret], capture_output=True, text=True, timeout=120)
        if p.returncode:
            raise SystemExit(f"boto3, temporary keys: {p.stderr[-1000:]}")
        return tuple(p.stdout.split())

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex((self.ip, self.port)) == 0

    def settings(self, bucket, **more):
        """The environment of an `ff` that keeps its bytes there."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_", "FF_S3", "CACHE_"))}
        env |= {"FF_STORE": "s3", "S3_ENDPOINT": self.url, "S3_BUCKET": bucket, "S3_ACCESS_KEY": self.key, "S3_SECRET_KEY": self.secret,
                **({"FF_S3_CA_FILE": str(self.ca)} if self.tls else {})}
        return env | {k: str(v) for k, v in more.items()}
