"""Look-ups in the company directory and calls to partner services."""
from urllib.parse import urlparse

import defusedxml.ElementTree
import ldap
import ldap.filter
import requests
from flask import Blueprint, request
from lxml import etree

directory = Blueprint("directory", __name__)
BASE = "ou=people,dc=parcelry,dc=test"
PARTNERS = {"north": "https://north.partner.test/api", "south": "https://south.partner.test/api"}


@directory.route("/people")
def people():
    uid = request.args["uid"]
    connection = ldap.initialize("ldaps://directory.parcelry.test")
    return {"people": connection.search_s(BASE, ldap.SCOPE_SUBTREE, "(uid=" + uid + ")")}


@directory.route("/people/strict")
def people_strict():
    uid = ldap.filter.escape_filter_chars(request.args["uid"])
    connection = ldap.initialize("ldaps://directory.parcelry.test")
    return {"people": connection.search_s(BASE, ldap.SCOPE_SUBTREE, "(uid=%s)" % uid)}


@directory.route("/preview")
def preview():
    return requests.get(request.args["url"], timeout=5).text


@directory.route("/partner/<name>")
def partner(name):
    base = PARTNERS.get(name, PARTNERS["north"])
    return requests.get(base, timeout=5).text


def sync_partner(payload):
    return requests.post("https://north.partner.test/sync", json=payload, verify=False, timeout=5)


def push_partner(payload):
    return requests.post("https://north.partner.test/push", json=payload, timeout=5)


@directory.route("/manifest", methods=["POST"])
def manifest():
    parser = etree.XMLParser(resolve_entities=True, no_network=False)
    return {"root": etree.fromstring(request.get_data(), parser).tag}


@directory.route("/manifest/strict", methods=["POST"])
def manifest_strict():
    root = defusedxml.ElementTree.fromstring(request.get_data())
    return {"root": root.tag, "host": urlparse(request.url).hostname}
