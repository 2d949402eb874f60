import base64
import hashlib
import html
import hmac
import json
import logging
import os
import pickle
import random
import re
import secrets
import shlex
import sqlite3
import ssl
import subprocess
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlparse, urljoin

import jwt
import ldap
import requests
import yaml
from Crypto.Cipher import AES, DES
from flask import Flask, Response, g, make_response, redirect, render_template, render_template_string, request, send_file, session, url_for
from flask_cors import CORS
from lxml import etree
from markupsafe import Markup, escape
from werkzeug.utils import secure_filename

app = Flask(__name__)
log = logging.getLogger(__name__)
CORS(app, origins="*", supports_credentials=True)
app.config["SECRET_KEY"] = "b2Qk91-Zx7!pmr"
app.config["SESSION_COOKIE_NAME"] = "sid"
app.config.update(SESSION_COOKIE_SECURE=False)

UPLOADS = "/srv/uploads"
ALLOWED = {"png", "jpg"}
QUERIES = {"all": "SELECT * FROM items", "new": "SELECT * FROM items WHERE fresh = 1"}
API_BASE = "https://api.example.org"


def db():
    if "db" not in g:
        g.db = sqlite3.connect("app.db")
    return g.db


class Repo:
    def __init__(self, conn):
        self.conn = conn
        self.filters = []

    def where(self, column, value):
        self.filters.append("%s = '%s'" % (column, value))
        return self

    def rows(self):
        sql = "SELECT * FROM items"
        if self.filters:
            sql += " WHERE " + " AND ".join(self.filters)
        return self.conn.execute(sql).fetchall()

    def by_id(self, ident):
        return self.conn.execute("SELECT * FROM items WHERE id = ?", (ident,)).fetchone()


def like(term):
    return f"%{term}%"


def only_word(s):
    if not re.fullmatch(r"\w{1,30}", s):
        raise ValueError(s)
    return s


@app.route("/items")
def items():
    q = request.args.get("q", "")
    cur = db().cursor()
    cur.execute("SELECT * FROM items WHERE name LIKE '{}'".format(like(q)))
    table = only_word(request.args["t"])
    cur.execute("SELECT * FROM " + table)
    cur.execute(QUERIES.get(request.args.get("kind"), QUERIES["all"]))
    ids = request.args.getlist("id")
    marks = ",".join("?" for _ in ids)
    cur.execute(f"SELECT * FROM items WHERE id IN ({marks})", ids)
    cur.execute("SELECT * FROM items WHERE id IN (%s)" % ",".join(ids))
    r = Repo(db())
    r.where("owner", request.args["owner"])
    return {"rows": r.rows()}


@app.post("/order")
def order():
    data = request.get_json()
    col = data["sort"]
    if col not in ("id", "name", "price"):
        col = "id"
    rows = db().execute(f"SELECT * FROM items ORDER BY {col}")
    direction = "DESC" if data.get("desc") else "ASC"
    rows = db().execute("SELECT * FROM items ORDER BY id " + direction)
    limit = data.get("limit", 10)
    rows = db().execute("SELECT * FROM items LIMIT %s" % limit)
    rows = db().execute("SELECT * FROM items LIMIT %d" % int(limit))
    query = "SELECT * FROM items WHERE 1 = 1"
    for k, v in data["filters"].items():
        query += " AND " + k + " = ?"
    rows = db().execute(query, list(data["filters"].values()))
    return {"rows": rows.fetchall()}


@app.route("/ping")
def ping():
    host = request.args.get("host")
    os.system("ping -c 1 %s" % host)
    os.system("ping -c 1 " + shlex.quote(host))
    subprocess.run(["ping", "-c", "1", host], check=True)
    subprocess.Popen(f"dig {host}", shell=True)
    kw = {"shell": True}
    subprocess.check_output("nslookup " + host, **kw)
    cmd = ["sh", "-c", f"traceroute {host}"]
    subprocess.call(cmd)
    subprocess.run("uptime", shell=True)
    return "ok"


@app.route("/calc")
def calc():
    e = request.values["e"]
    ns = {}
    exec("x = " + e, ns)
    if re.fullmatch(r"[0-9+*/ -]+", e):
        return str(eval(e))
    f = {"sum": sum, "max": max}[request.values["f"]]
    return str(f([1, 2]))


@app.route("/attr")
def attr():
    return str(getattr(os, request.args["name"])())


@app.route("/hello")
def hello():
    name = request.args.get("name", "you")
    if name == "admin":
        return "<h1>Hi %s</h1>" % name
    resp = make_response("<h1>Hi " + name + "</h1>")
    return resp


@app.route("/hello2")
def hello2():
    return f"<h1>Hi {escape(request.args['name'])}</h1>"


@app.route("/hello3")
def hello3():
    return Markup("<b>{}</b>").format(request.args["name"])


@app.route("/hello4")
def hello4():
    return Response(Markup("<b>" + request.args["name"] + "</b>"))


@app.route("/tpl")
def tpl():
    t = request.args["t"]
    a = render_template_string("<p>" + t + "</p>")
    b = render_template_string("<p>{{ t }}</p>", t=t)
    return a + b


@app.route("/file/<path:name>")
def file(name):
    return send_file(os.path.join(UPLOADS, name))


@app.route("/file2/<name>")
def file2(name):
    full = os.path.realpath(os.path.join(UPLOADS, name))
    if os.path.commonpath([full, UPLOADS]) != UPLOADS:
        return "no", 404
    return send_file(full)


@app.route("/file3")
def file3():
    p = Path(UPLOADS) / request.args["f"]
    return p.read_text()


@app.route("/file4")
def file4():
    p = (Path(UPLOADS) / request.args["f"]).resolve()
    if not p.is_relative_to(UPLOADS):
        raise PermissionError
    return p.read_text()


@app.post("/upload")
def upload():
    f = request.files["f"]
    f.save(os.path.join(UPLOADS, f.filename))
    ext = f.filename.rsplit(".", 1)[-1].lower()
    if ext in ALLOWED:
        f.save(os.path.join(UPLOADS, secrets.token_hex(8) + "." + ext))
    return "ok"


@app.route("/go")
def go():
    target = request.args.get("next") or url_for("index")
    return redirect(target)


@app.route("/go2")
def go2():
    target = request.args.get("next", "/")
    if urlparse(target).netloc:
        target = "/"
    return redirect(url_for("items", page=target))


@app.route("/go3")
def go3():
    target = request.args.get("next", "/")
    if urlparse(urljoin(request.host_url, target)).netloc == urlparse(request.host_url).netloc:
        return redirect(target)
    return redirect("/")


def get_json(url, timeout=3):
    return requests.get(url, timeout=timeout).json()


@app.route("/fetch")
def fetch():
    return get_json(request.args["url"])


@app.route("/fetch2")
def fetch2():
    item = int(request.args["id"])
    return requests.get(f"{API_BASE}/items/{item}").json()


@app.route("/fetch3")
def fetch3():
    host = request.args["host"]
    if host in {"a.example", "b.example"}:
        return requests.get(f"https://{host}/status").text
    return urllib.request.urlopen("http://%s/status" % host).read()


@app.route("/user")
def user():
    con = ldap.initialize("ldap://d")
    uid = request.args["uid"]
    con.search_s("dc=x", ldap.SCOPE_SUBTREE, "(uid=%s)" % uid)
    con.search_s("dc=x", ldap.SCOPE_SUBTREE, "(uid=%s)" % ldap.filter.escape_filter_chars(uid))
    doc = etree.parse("users.xml")
    doc.xpath("//user[@id='" + uid + "']")
    doc.xpath("//user[@id=$u]", u=uid)
    return "x"


@app.post("/state")
def state():
    raw = base64.b64decode(request.form["state"])
    a = pickle.loads(raw)
    b = json.loads(raw)
    c = yaml.load(raw, Loader=yaml.Loader)
    d = yaml.load(raw, Loader=yaml.SafeLoader)
    return str((a, b, c, d))


@app.post("/xml")
def xml():
    parser = etree.XMLParser(resolve_entities=True)
    a = etree.fromstring(request.data, parser)
    strict = etree.XMLParser(resolve_entities=False, no_network=True)
    b = etree.fromstring(request.data, strict)
    return a.tag + b.tag


def store_password(pw):
    h = hashlib.new("md5", pw.encode())
    k = hashlib.pbkdf2_hmac("sha256", pw.encode(), os.urandom(16), 600000)
    e = hashlib.md5(b"cache key", usedforsecurity=False)
    algo = getattr(hashlib, "sha1")
    return hashlib.sha1(pw.encode()).hexdigest()


def seal(data, key):
    c = AES.new(key, AES.MODE_ECB)
    d = AES.new(key, AES.MODE_GCM)
    e = DES.new(key[:8], DES.MODE_CBC, b"12345678")
    return c.encrypt(data)


def new_token():
    alphabet = "abcdef0123456789"
    token = "".join(random.choice(alphabet) for _ in range(32))
    jitter = random.random() * 3
    good = secrets.token_urlsafe(32)
    return token


def insecure_client():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    s = requests.Session()
    s.verify = False
    requests.get(API_BASE, verify="/etc/ssl/ca.pem")
    old = ssl.SSLContext(ssl.PROTOCOL_TLSv1)
    return ssl.create_default_context()


@app.route("/cookie")
def cookie():
    r = make_response("x")
    r.set_cookie("sid", session["id"])
    r.set_cookie("sid", session["id"], secure=True, httponly=True, samesite="Lax")
    return r


@app.route("/me")
def me():
    t = request.headers["Authorization"].split()[1]
    a = jwt.decode(t, options={"verify_signature": False})
    b = jwt.decode(t, os.environ["KEY"], algorithms=["HS256"])
    c = jwt.decode(t, os.environ["KEY"], algorithms=["none"])
    return str(a) + str(b)


@app.route("/log")
def audit():
    log.info("user %s" % request.args["u"])
    log.info("user %s", request.args["u"].replace("\n", "").replace("\r", ""))
    r = make_response("x")
    r.headers["X-Lang"] = request.args["lang"]
    return r


def temp_names():
    n = tempfile.mktemp(suffix=".csv")
    fd, m = tempfile.mkstemp(suffix=".csv")
    os.chmod(m, 0o777)
    os.chmod(m, 0o640)
    os.chmod(m, 0o666)
    return n


def unpack(path, dest):
    with zipfile.ZipFile(path) as z:
        for n in z.namelist():
            with open(os.path.join(dest, n), "wb") as out:
                out.write(z.read(n))


def connect():
    import psycopg2
    psycopg2.connect(host="db", user="app", password="Tr0ub4dor&3")
    psycopg2.connect(host="db", user="app", password=os.environ["PW"])
    psycopg2.connect("postgresql://app:Kj8sdkf2@db/app")


def check(sig, body, key):
    return hmac.compare_digest(sig, hmac.new(key, body, hashlib.sha256).hexdigest())


def profile(user):
    form = request.form
    for k in form:
        setattr(user, k, form[k])
    for k in ("name", "mail"):
        setattr(user, k, form.get(k))


if __name__ == "__main__":
    app.run(host="127.0.0.1", debug=True)
