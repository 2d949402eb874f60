"""Small services: aiohttp, Tornado, Bottle, plain scripts."""
import argparse
import csv
import ftplib
import glob
import gzip
import hashlib
import io
import os
import random
import secrets
import shutil
import smtplib
import socket
import sqlite3
import ssl
import string
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from http.server import BaseHTTPRequestHandler

import bottle
import dill
import ldap3
import MySQLdb
import pymongo
import pymysql
import requests
import tornado.web
from aiohttp import ClientSession, web
from Crypto.Cipher import AES, ARC4, Blowfish
from Crypto.Hash import MD5, SHA256
from Crypto.PublicKey import RSA
from lxml import etree
from mako.template import Template as MakoTemplate
from pyramid.httpexceptions import HTTPFound
from pyramid.response import Response
from pyramid.view import view_config

COLUMNS = frozenset(["name", "age"])
LEVELS = {"low": 1, "high": 2}


@dataclass
class Query:
    table: str
    key: str

    def sql(self):
        return "SELECT * FROM %s WHERE k = '%s'" % (self.table, self.key)


def connection():
    return pymysql.connect(host="h", user="u", passwd="t0p-Secret-9")


def connection_env():
    return pymysql.connect(host="h", user="u", passwd=os.environ["DBPW"])


async def users(request):
    name = request.query["name"]
    con = connection()
    with con.cursor() as cur:
        cur.execute("SELECT * FROM users WHERE name = '" + name + "'")
    return web.json_response({})


async def users_safe(request):
    name = request.query["name"]
    con = connection()
    with con.cursor() as cur:
        cur.execute("SELECT * FROM users WHERE name = %s", [name])
    return web.json_response({})


async def by_match(request):
    q = Query("users", request.match_info["key"])
    con = connection()
    cur = con.cursor()
    cur.execute(q.sql())
    return web.json_response(cur.fetchall())


async def ordered(request):
    order = request.query.get("order", "name")
    if order not in COLUMNS:
        raise web.HTTPBadRequest()
    cur = connection().cursor()
    cur.execute("SELECT * FROM users ORDER BY " + order)
    return web.json_response(cur.fetchall())


async def page(request):
    post = await request.post()
    return web.Response(text="<h1>" + post["title"] + "</h1>", content_type="text/html")


async def page_safe(request):
    import html
    post = await request.post()
    return web.Response(text="<h1>" + html.escape(post["title"]) + "</h1>", content_type="text/html")


async def fetch(request):
    data = await request.json()
    async with ClientSession() as s:
        async with s.post(data["callback"], json={}) as r:
            return web.Response(text=await r.text())


async def fetch_safe(request):
    data = await request.json()
    base = "https://hooks.example/"
    async with ClientSession() as s:
        async with s.post(base + urllib.parse.quote(data["id"]), json={}) as r:
            return web.Response(text=await r.text())


class MainHandler(tornado.web.RequestHandler):
    def get(self):
        self.write("<p>" + self.get_argument("q") + "</p>")

    def post(self):
        self.redirect(self.get_argument("next"))

    def put(self):
        path = os.path.join("/srv", self.get_argument("f"))
        self.write(open(path).read())

    def delete(self):
        name = os.path.basename(self.get_argument("f"))
        os.unlink(os.path.join("/srv", name))


class JsonHandler(tornado.web.RequestHandler):
    def get(self):
        self.write({"q": self.get_argument("q")})

    def post(self):
        self.redirect("/done")


@bottle.route("/run/<cmd>")
def run(cmd):
    return subprocess.check_output("/opt/" + cmd, shell=True)


@bottle.route("/run2/<n:int>")
def run2(n):
    table = ["/opt/a", "/opt/b"]
    return subprocess.check_output(table[n % 2], shell=True)


@bottle.post("/mail")
def mail():
    to = bottle.request.forms.get("to")
    subject = bottle.request.forms.get("subject")
    msg = "From: me\r\nTo: %s\r\nSubject: %s\r\n\r\nHi" % (to, subject)
    s = smtplib.SMTP("localhost")
    s.login("mailer", "M41lPass!x")
    s.sendmail("me", [to], msg)


@view_config(route_name="home")
def home(request):
    lang = request.params["lang"]
    return HTTPFound(location=request.params["came_from"])


@view_config(route_name="tmpl")
def tmpl(request):
    return Response(MakoTemplate(request.params["t"]).render())


@view_config(route_name="tmpl2")
def tmpl2(request):
    return Response(MakoTemplate("Hello ${n | h}").render(n=request.params["n"]))


class Raw(BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        name = query.get("name", [""])[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("<b>" + name + "</b>").encode())

    def do_POST(self):
        n = int(self.headers["Content-Length"])
        body = self.rfile.read(n)
        obj = dill.loads(body)
        self.wfile.write(str(obj).encode())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host")
    p.add_argument("--count", type=int)
    a = p.parse_args()
    os.system("ping " + a.host)
    os.system("ping -c %d localhost" % a.count)


def shell_loop():
    while True:
        line = input("> ")
        if line == "quit":
            break
        exec(line)


def safe_loop():
    import ast
    while True:
        line = input("> ")
        print(ast.literal_eval(line))


def listen():
    s = socket.socket()
    s.bind(("127.0.0.1", 9))
    c, _ = s.accept()
    data = c.recv(1024).decode()
    eval(data)


def listen_safe():
    s = socket.socket()
    c, _ = s.accept()
    data = c.recv(1024).decode()
    handlers = {"a": len, "b": str.upper}
    handlers[data]("x")


def search(uid):
    conn = ldap3.Connection("d")
    conn.search("dc=x", "(&(uid=" + uid + ")(active=1))")
    conn.search("dc=x", "(uid={})".format(ldap3.utils.conv.escape_filter_chars(uid)))


async def find(request):
    q = await request.json()
    col = pymongo.MongoClient().db.items
    return web.json_response(col.find_one({"name": q["name"], "$where": "this.x == " + q["x"]}))


def xml_node(request):
    tree = ET.parse("x.xml")
    return tree.findall(".//user[@name='%s']" % request.args["n"])


def xml_load(data: bytes):
    p = etree.XMLParser(load_dtd=True, no_network=False, resolve_entities=True)
    return etree.fromstring(data, parser=p)


def xml_load_safe(data: bytes):
    p = etree.XMLParser(load_dtd=False, no_network=True, resolve_entities=False)
    return etree.fromstring(data, parser=p)


def digest_password(password):
    return MD5.new(password.encode()).hexdigest()


def digest_file(path):
    return SHA256.new(open(path, "rb").read()).hexdigest()


def encrypt(key, data):
    return ARC4.new(key).encrypt(data)


def encrypt_blowfish(key, data):
    return Blowfish.new(key, Blowfish.MODE_CBC, b"12345678").encrypt(data)


def encrypt_ok(key, data):
    c = AES.new(key, AES.MODE_EAX)
    return c.encrypt_and_digest(data)


def make_key():
    return RSA.generate(1024)


def make_key_ok():
    return RSA.generate(3072)


def temp_password():
    chars = string.ascii_letters + string.digits
    password = ""
    for _ in range(12):
        password += random.choice(chars)
    return password


def temp_password_ok():
    chars = string.ascii_letters
    return "".join(secrets.choice(chars) for _ in range(12))


def lottery():
    return random.sample(range(49), 6)


def pull(url):
    return requests.post(url, verify=False)


def pull_ok(url):
    return requests.post("https://a.example/x", timeout=3)


def context():
    return ssl._create_unverified_context()


def ftp():
    f = ftplib.FTP_TLS("h")
    f.login("u", os.getenv("FTP_PW"))
    return f


def scratch(data):
    name = "/tmp/scratch_%d.txt" % os.getpid()
    with open(name, "w") as f:
        f.write(data)


def scratch_ok(data):
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(data)


def share(path):
    os.chmod(path, 0o757)


def share_ok(path):
    os.chmod(path, 0o750)


def untar(path):
    shutil.unpack_archive(path, "/srv/x")


class Account:
    def __init__(self, **kw):
        self.__dict__.update(kw)


async def signup(request):
    body = await request.json()
    return Account(**body)


async def signup_ok(request):
    body = await request.json()
    return Account(name=body["name"])


if __name__ == "__main__":
    bottle.run(host="localhost", debug=True)
