import os

DEBUG = True
SECRET_KEY = "django-k3y-9a8b7c6d5e4f3g2h1"
SIGNING_SALT_NAME = "signing"
ALLOWED_HOSTS = ["*"]
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = True
CORS_ALLOW_ALL_ORIGINS = True
CORS_ALLOWED_ORIGINS = ["https://a.example"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "app",
        "PASSWORD": "pg-4e8sDk!21",
    },
    "other": {
        "ENGINE": "django.db.backends.postgresql",
        "PASSWORD": os.environ.get("OTHER_PW"),
    },
}
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
]
EMAIL_HOST_PASSWORD = os.getenv("MAIL_PW", "")
