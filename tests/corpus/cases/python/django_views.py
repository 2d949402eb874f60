import marshal
import mimetypes
import os
import subprocess
import tarfile
import xml.dom.pulldom
import xml.sax
from random import randint, choices

import defusedxml.ElementTree as safe_et
import httpx
import paramiko
import shelve
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.files.storage import FileSystemStorage
from django.db import connection, models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template import Context, Engine, Template
from django.utils.crypto import get_random_string
from django.utils.html import escape, format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from .models import Article, Account


class ArticleForm(forms.ModelForm):
    class Meta:
        model = Article
        fields = "__all__"


class ArticleSafeForm(forms.ModelForm):
    class Meta:
        model = Article
        fields = ["title", "body"]


class ArticleList(View):
    ordering = {"new": "-created", "old": "created"}

    def get(self, request):
        term = request.GET.get("q", "")
        found = Article.objects.raw("SELECT * FROM article WHERE title LIKE '%%%s%%'" % term)
        found = Article.objects.raw("SELECT * FROM article WHERE title LIKE %s", ["%" + term + "%"])
        found = Article.objects.filter(Q(title__icontains=term)).order_by(self.ordering.get(term, "id"))
        found = Article.objects.extra(where=["title = '%s'" % term])
        found = Article.objects.annotate(v=RawSQL("select count(*) from x where y = " + term, []))
        found = Article.objects.annotate(v=RawSQL("select count(*) from x where y = %s", (term,)))
        return render(request, "list.html", {"found": found, "q": term})

    def post(self, request):
        with connection.cursor() as cursor:
            parts = ["UPDATE article SET"]
            parts.append("title = '" + request.POST["title"] + "'")
            parts.append("WHERE id = 4")
            cursor.execute(" ".join(parts))
            pk = int(request.POST.get("pk", 0))
            cursor.execute(f"DELETE FROM article WHERE id = {pk}")
        return redirect("list")


def _rows(sql, params=None):
    with connection.cursor() as c:
        c.execute(sql, params or [])
        return c.fetchall()


def report(request, year):
    data = _rows("SELECT * FROM sales WHERE region = '" + request.GET["region"] + "'")
    return JsonResponse({"rows": data})


def _count(sql, params):
    with connection.cursor() as c:
        c.execute(sql, params)
        return c.fetchone()[0]


def totals(request):
    return JsonResponse({"n": _count("SELECT count(*) FROM sales WHERE region = %s", [request.GET["region"]])})


def thumbnails(request):
    size = request.GET.get("size")
    name = request.GET["name"]
    subprocess.check_call("convert %s -resize %s out.png" % (name, size), shell=True)
    subprocess.check_call(["convert", name, "-resize", "100x100", "out.png"])
    os.popen("file {0}".format(name)).read()
    mode = {"s": "small", "l": "large"}.get(size, "small")
    os.system("thumb --mode " + mode)
    return HttpResponse("ok")


async def run_async(request):
    import asyncio
    proc = await asyncio.create_subprocess_shell("grep " + request.GET["p"] + " log.txt")
    other = await asyncio.create_subprocess_exec("grep", "-e", request.GET["p"], "log.txt")
    return HttpResponse(str(proc) + str(other))


def remote(request):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("h")
    client.exec_command("ls " + request.GET["dir"])
    return HttpResponse("")


def hello(request):
    n = request.GET.get("n", "")
    if "<" in n:
        return HttpResponse("bad name: " + n)
    return HttpResponse("hi " + escape(n))


def badge(request):
    label = request.GET["label"]
    a = mark_safe("<span>%s</span>" % label)
    b = format_html("<span>{}</span>", label)
    return render(request, "badge.html", {"a": a, "b": b})


def plain(request):
    return HttpResponse(request.GET["x"], content_type="text/plain")


def template(request):
    t = Template("Dear " + request.POST["greeting"] + ", {{ text }}")
    u = Engine().from_string("Dear {{ g }}")
    return HttpResponse(t.render(Context({"text": "x"})))


class Download(View):
    root = "/srv/media"

    def resolve(self, name):
        return os.path.join(self.root, name)

    def get(self, request, name):
        path = self.resolve(request.GET["name"])
        return FileResponse(open(path, "rb"))


class DownloadSafe(View):
    root = "/srv/media"

    def resolve(self, name):
        full = os.path.abspath(os.path.join(self.root, name))
        if not full.startswith(self.root + os.sep):
            raise ValueError(name)
        return full

    def get(self, request, name):
        path = self.resolve(request.GET["name"])
        return FileResponse(open(path, "rb"))


def delete(request):
    os.remove("/srv/media/" + request.POST["f"])
    os.remove("/srv/media/" + os.path.basename(request.POST["f"]))
    return HttpResponse("")


def leave(request):
    nxt = request.GET.get("next", "/")
    return HttpResponseRedirect(nxt)


def leave_safe(request):
    nxt = request.GET.get("next", "/")
    if not url_has_allowed_host_and_scheme(nxt, allowed_hosts={request.get_host()}):
        nxt = "/"
    return HttpResponseRedirect(nxt)


async def proxy(request):
    async with httpx.AsyncClient(verify=False) as c:
        r = await c.get(request.GET["u"])
    async with httpx.AsyncClient() as c:
        r2 = await c.get(settings.BACKEND + "/ping")
    return HttpResponse(r.text + r2.text)


def load(request):
    a = marshal.loads(request.body)
    import jsonpickle
    b = jsonpickle.decode(request.POST["s"])
    import yaml
    c = yaml.safe_load(request.body)
    d = yaml.unsafe_load(request.body)
    return HttpResponse(str((a, b, c, d)))


def feed(request):
    xml.sax.parseString(request.body, xml.sax.ContentHandler())
    p = xml.sax.make_parser()
    p.setFeature(xml.sax.handler.feature_external_ges, True)
    t = safe_et.fromstring(request.body)
    return HttpResponse(t.tag)


def crypto(key, data, pw):
    c = Cipher(algorithms.ARC4(key), mode=None)
    d = Cipher(algorithms.AES(key), modes.ECB())
    e = Cipher(algorithms.AES(key), modes.GCM(os.urandom(12)))
    h = hashes.Hash(hashes.MD5())
    i = hashes.Hash(hashes.SHA256())
    f = Cipher(algorithms.AES(key), modes.CBC(b"\x00" * 16))
    return make_password(pw)


def one_time_code():
    otp = randint(100000, 999999)
    reset_token = "".join(choices("abc123", k=20))
    ok = get_random_string(32)
    page = randint(1, 10)
    return otp


@csrf_exempt
def hook(request):
    return HttpResponse("")


def account(request, pk):
    a = get_object_or_404(Account, pk=pk)
    Account.objects.filter(pk=pk).update(**request.POST.dict())
    Account.objects.create(name=request.POST["name"])
    return HttpResponse(a.name)


def upload(request):
    f = request.FILES["f"]
    with open("/srv/media/" + f.name, "wb+") as out:
        for chunk in f.chunks():
            out.write(chunk)
    return HttpResponse("")


def cookie(request):
    r = HttpResponse("")
    r.set_cookie("sessionid", "x", httponly=False)
    r.set_cookie("sessionid", "x", secure=True, httponly=True, samesite="Strict")
    r["X-Next"] = request.GET["n"]
    return r


def unpack(path):
    with tarfile.open(path) as t:
        t.extractall("/srv/x")
    with tarfile.open(path) as t:
        t.extractall("/srv/x", filter="data")


def modules(request):
    __import__(request.GET["m"])
    return HttpResponse("")
