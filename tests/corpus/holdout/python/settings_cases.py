# Settings of a Django site.
import os

DEBUG = True
TEMPLATE_DEBUG = False
SECRET_KEY = "v3ry-l0ng-and-hidden-9f8e7d6c5b4a"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
EMAIL_HOST_PASSWORD = os.environ["EMAIL_HOST_PASSWORD"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "site",
        "PASSWORD": "br0wn-F0x-jumps",
        "HOST": "db",
    },
    "replica": {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "site",
        "PASSWORD": os.environ.get("REPLICA_PASSWORD"),
    },
}
