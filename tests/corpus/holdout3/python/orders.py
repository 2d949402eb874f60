"""Order service: aiohttp, asyncpg, SQLAlchemy, pandas."""
import asyncio
import base64
import hashlib
import importlib
import logging
import os
import pickle
import random
import secrets
import shutil
import sqlite3
import ssl
import subprocess
import tarfile
import tempfile
import xml.dom.minidom
from pathlib import Path

import aiohttp
import dill
import httpx
import jinja2
import joblib
import ldap3
import lxml.etree
import mysql.connector
import pandas as pd
import paramiko
import yaml
from Crypto.Cipher import AES, ARC4, DES3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.db import connection
from django.http import HttpResponse
from django.utils.safestring import mark_safe
from fastapi import APIRouter, FastAPI, File, Form, Query, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from sqlalchemy import text
from sqlalchemy.orm import Session
from tornado import web

app = FastAPI(debug=True)
router = APIRouter()
log = logging.getLogger(__name__)


async def order_by_customer(pool, request):
    name = request.query["customer"]
    async with pool.acquire() as conn:
        return await conn.fetch("SELECT id, total FROM orders WHERE customer = '%s'" % name)


async def order_by_customer_bound(pool, request):
    name = request.query["customer"]
    async with pool.acquire() as conn:
        return await conn.fetch("SELECT id, total FROM orders WHERE customer = $1", name)


@router.get("/orders/search")
def search(q: str, session: Session):
    stmt = text(f"SELECT * FROM orders WHERE note LIKE '%{q}%'")
    return session.execute(stmt).all()


@router.get("/orders/search2")
def search_bound(q: str, session: Session):
    stmt = text("SELECT * FROM orders WHERE note LIKE :pattern")
    return session.execute(stmt, {"pattern": f"%{q}%"}).all()


def sort_orders(request):
    column = request.GET.get("sort", "id")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM orders ORDER BY " + column)
        return cursor.fetchall()


def sort_orders_checked(request):
    column = {"id": "id", "total": "total"}.get(request.GET.get("sort"), "id")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM orders ORDER BY " + column)
        return cursor.fetchall()


def mysql_report(year):
    db = mysql.connector.connect(host="db", user="report", password="Rt7!kPq29xZ")
    cur = db.cursor()
    cur.execute("SELECT sum(total) FROM orders WHERE year = {}".format(year))
    return cur.fetchone()


def convert(upload: UploadFile, fmt: str = Form(...)):
    cmd = "ffmpeg -i /tmp/in.mp4 -f " + fmt + " /tmp/out"
    return subprocess.Popen(cmd, shell=True, stdout=subprocess.PIPE)


def convert_list(fmt: str = Form(...)):
    return subprocess.Popen(["ffmpeg", "-i", "/tmp/in.mp4", "-f", fmt, "/tmp/out"], stdout=subprocess.PIPE)


async def ping(request):
    host = request.match_info["host"]
    proc = await asyncio.create_subprocess_shell(f"ping -c1 {host}")
    return await proc.wait()


def remote_restart(client: paramiko.SSHClient, request):
    service = request.form["service"]
    client.exec_command("systemctl restart " + service)


def trust_everyone():
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    return client


class ReportHandler(web.RequestHandler):
    def get(self):
        title = self.get_argument("title")
        self.write("<h1>" + title + "</h1>")

    def post(self):
        self.redirect(self.get_argument("next"))


@app.get("/hello", response_class=HTMLResponse)
def hello(name: str = Query("you")):
    return HTMLResponse(f"<p>Hello {name}</p>")


def badge(request):
    return mark_safe("<span>%s</span>" % request.GET["label"])


def page(request):
    import html
    return HttpResponse("<p>" + html.escape(request.GET["label"]) + "</p>")


def render(request):
    env = jinja2.Environment(autoescape=False)
    template = env.from_string(request.POST["body"])
    return template.render(user=request.user)


def render_file(request):
    env = jinja2.Environment(loader=jinja2.FileSystemLoader("templates"), autoescape=True)
    return env.get_template("invoice.html").render(user=request.user)


@app.get("/download")
def download(name: str):
    return FileResponse(os.path.join("/srv/files", name))


@app.get("/download2")
def download_checked(name: str):
    root = Path("/srv/files").resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise ValueError("outside")
    return FileResponse(path)


def unpack(request):
    archive = tarfile.open(fileobj=request.FILES["archive"])
    archive.extractall("/srv/in")


async def store(file: UploadFile = File(...)):
    with open(f"/srv/www/uploads/{file.filename}", "wb") as out:
        shutil.copyfileobj(file.file, out)


def restore_session(request):
    return pickle.loads(base64.b64decode(request.cookies["session"]))


def load_model(path):
    return joblib.load(path)


def load_job(data):
    return dill.loads(data)


def settings(stream):
    return yaml.load(stream, Loader=yaml.UnsafeLoader)


def settings_safe(stream):
    return yaml.load(stream, Loader=yaml.SafeLoader)


def frame(request):
    return pd.read_pickle(request.files["data"])


def price(request):
    formula = request.json["formula"]
    return eval(formula, {"__builtins__": {}}, {"x": 2})


def run_hook(request):
    exec(compile(request.data, "<hook>", "exec"))


def literal(request):
    import ast
    return ast.literal_eval(request.json["value"])


def plugin(request):
    return importlib.import_module(request.args["plugin"])


def parse_invoice(body):
    parser = lxml.etree.XMLParser(resolve_entities=True, no_network=False)
    return lxml.etree.fromstring(body, parser)


def parse_invoice_safe(body):
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True)
    return lxml.etree.fromstring(body, parser)


def find_user(conn: ldap3.Connection, uid):
    conn.search("ou=people,dc=example,dc=org", "(uid=" + uid + ")")
    return conn.entries


def find_user_safe(conn: ldap3.Connection, uid):
    from ldap3.utils.conv import escape_filter_chars
    conn.search("ou=people,dc=example,dc=org", "(uid=" + escape_filter_chars(uid) + ")")
    return conn.entries


def etag(body):
    return hashlib.new("md5", body).hexdigest()


def password_digest(password):
    return hashlib.sha1(password.encode()).hexdigest()


def cache_key(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def seal(key, data):
    return DES3.new(key, DES3.MODE_ECB).encrypt(data)


def seal_rc4(key, data):
    return ARC4.new(key).encrypt(data)


def seal_hazmat(key):
    return Cipher(algorithms.Blowfish(key), modes.CBC(b"\0" * 8))


def seal_gcm(key, data):
    return AES.new(key, AES.MODE_GCM).encrypt_and_digest(data)


def reset_token():
    return "".join(random.choice("abcdef0123456789") for _ in range(32))


def reset_token_safe():
    return secrets.token_hex(16)


async def fetch(request):
    async with aiohttp.ClientSession() as session:
        async with session.get(request.query["url"]) as resp:
            return await resp.text()


def preview(url: str):
    return httpx.get("https://cdn.example.org/preview", params={"u": url})


@app.post("/webhook-test")
def webhook_test(url: str = Form(...)):
    return httpx.post(url, json={"ping": 1}).status_code


def upstream():
    return httpx.Client(verify=False)


def context():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


def context_safe():
    return ssl.create_default_context()


def scratch():
    return tempfile.mktemp(suffix=".csv")


API_KEY = "sk_live_51HxTqLKd83hfnQ29skdQpZx"
API_KEY_NAME = "X-API-Key"


@app.get("/go")
def go(target: str):
    return RedirectResponse(target)


def update_profile(request, user):
    for key, value in request.json.items():
        setattr(user, key, value)
