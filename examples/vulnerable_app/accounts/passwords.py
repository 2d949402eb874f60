"""Passwords, tokens and fingerprints of the accounts service."""
import hashlib
import hmac
import os
import random
import secrets

from Crypto.Cipher import AES, DES

LEGACY_PASSWORD = "S3rvice!Acc0unt-2019"
PASSWORD_FIELD = "password"
MAIL_PASSWORD = os.environ.get("MAIL_PASSWORD", "")


def legacy_hash(password):
    return hashlib.md5(password.encode()).hexdigest()


def hash_password(password):
    salt = os.urandom(16)
    return salt + hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600000)


def fingerprint(document):
    return hashlib.sha256(document).hexdigest()


def signature(key, document):
    return hmac.new(key, document, hashlib.sha1).hexdigest()


def invite_code():
    return "".join(random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(8))


def reset_token():
    return secrets.token_urlsafe(32)


def seal_legacy(key, data):
    cipher = DES.new(key, DES.MODE_ECB)
    return cipher.encrypt(data)


def seal(key, data):
    cipher = AES.new(key, AES.MODE_GCM)
    return cipher.encrypt_and_digest(data)
