import base64
import hashlib
import json
import marshal
import pickle
import random
import shelve
import ssl
import tempfile
import urllib.request
import xml.dom.minidom
import xml.sax
from pathlib import Path

import dill
import httpx
import jinja2
import jsonpickle
import requests
import yaml
from Crypto.Cipher import ARC4, AES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import algorithms, modes, Cipher
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect as django_redirect
from django.utils.html import escape, format_html
from django.utils.safestring import mark_safe
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from flask import Flask, abort, make_response, render_template_string, request, send_file, send_from_directory
from lxml import etree
from werkzeug.utils import secure_filename

api = FastAPI()
site = Flask(__name__)


@api.get("/hello", response_class=HTMLResponse)
def case_201(name: str):
    return HTMLResponse("<b>" + name + "</b>")


@api.get("/hello2")
def case_202(name: str):
    return {"hello": name}


def case_203(req):
    return HttpResponse("<p>" + req.GET["q"] + "</p>")


def case_204(req):
    return HttpResponse("<p>" + escape(req.GET["q"]) + "</p>")


def case_205(req):
    comment = req.POST.get("comment")
    return mark_safe("<i>%s</i>" % comment)


def case_206(req):
    return format_html("<i>{}</i>", req.POST.get("comment"))


@site.route("/echo")
def case_207():
    resp = make_response("You said " + request.args.get("m", ""))
    return resp


def case_208():
    env = jinja2.Environment()
    return env.from_string(request.form["layout"]).render()


def case_209():
    env = jinja2.Environment(autoescape=True)
    return env.from_string("Hi {{ n }}").render(n=request.form["n"])


def case_210():
    page = "Dear %s, welcome" % request.args["who"]
    return render_template_string(page)


def case_211():
    return django_redirect(request.GET["next"])


def case_212():
    return HttpResponseRedirect("/done/")


@api.get("/go")
def case_213(url: str):
    return RedirectResponse(url)


def case_214():
    return requests.post(request.json["callback"], json={"ok": True})


def case_215():
    return requests.post("https://hooks.internal.test/done", json={"ok": request.json["x"]})


def case_216():
    target = request.args["u"]
    return urllib.request.urlopen(target).read()


async def case_217(req: Request):
    host = req.query_params["host"]
    async with httpx.AsyncClient() as client:
        return await client.get("http://" + host + "/status")


def case_218():
    return send_file("/data/" + request.args["f"])


def case_219():
    return send_from_directory("/data", request.args["f"])


def case_220():
    path = Path("/data") / request.args["f"]
    return path.read_text()


def case_221():
    base = Path("/data").resolve()
    path = (base / request.args["f"]).resolve()
    if not path.is_relative_to(base):
        abort(404)
    return path.read_text()


def case_222():
    upload = request.files["f"]
    upload.save("/srv/files/" + upload.filename)


def case_223():
    upload = request.files["f"]
    if not upload.filename.endswith((".png", ".jpg")):
        abort(400)
    upload.save("/srv/files/" + secure_filename(upload.filename))


def case_224():
    return pickle.load(request.files["f"].stream)


def case_225():
    return json.load(request.files["f"].stream)


def case_226():
    raw = base64.b64decode(request.cookies["prefs"])
    return marshal.loads(raw)


def case_227():
    return jsonpickle.decode(request.data)


def case_228():
    return dill.loads(request.data)


def case_229():
    return yaml.load(request.data, Loader=yaml.UnsafeLoader)


def case_230():
    return yaml.load(request.data, Loader=yaml.SafeLoader)


def case_231():
    return shelve.open(request.args["db"])


def case_232():
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, True)
    return parser


def case_233():
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    return parser


def case_234():
    return etree.parse(request.stream, etree.XMLParser(load_dtd=True, no_network=False, resolve_entities=True))


def case_235():
    return etree.parse(request.stream, etree.XMLParser(resolve_entities=False))


def case_236(password):
    return hashlib.new("sha1", password).hexdigest()


def case_237(password):
    return hashlib.scrypt(password, salt=b"0123456789abcdef", n=16384, r=8, p=1)


def case_238():
    return hashes.Hash(hashes.MD5())


def case_239(data):
    return hashlib.sha3_256(data).digest()


def case_240(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def case_241(key):
    return ARC4.new(key)


def case_242(key):
    return Cipher(algorithms.AES(key), modes.ECB())


def case_243(key, nonce):
    return Cipher(algorithms.AES(key), modes.GCM(nonce))


def case_244(key):
    return AES.new(key, AES.MODE_ECB)


def case_245():
    session_id = str(random.randint(100000, 999999))
    return session_id


def case_246():
    return random.SystemRandom().randint(100000, 999999)


def case_247():
    token = "".join(random.choices("abcdef0123456789", k=32))
    return token


def case_248():
    colour = random.choice(["red", "blue"])
    return colour


def case_249():
    context = ssl._create_unverified_context()
    return context


def case_250():
    context = ssl.create_default_context()
    return context


def case_251():
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def case_252():
    return httpx.Client(verify=False)


def case_253():
    return requests.Session().get("https://a.test", verify="/etc/ssl/own-ca.pem")


def case_254(req):
    user = {}
    for key, value in req.POST.items():
        setattr(req.user, key, value)
    return user


def case_255():
    site.config["DEBUG"] = True


def case_256():
    site.run(host="127.0.0.1", debug=False)


def case_257():
    api_password = "Xk2!vv-Tango-91"
    return requests.get("https://a.test", auth=("svc", api_password))


def case_258():
    password = input("Password: ")
    return requests.get("https://a.test", auth=("svc", password))


def case_259():
    name = tempfile.NamedTemporaryFile(delete=False).name
    return name


def case_260():
    dom = xml.dom.minidom.parseString("<a>1</a>")
    return dom
