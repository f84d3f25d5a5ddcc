QEETID_AUTHZ = "shop.authz.authorizer"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "qeetid_authz.frameworks.django.authz_middleware",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "qeetid_authz.frameworks.drf.PrincipalAuthentication",
    ],
    "UNAUTHENTICATED_USER": None,  # where django.contrib.auth isn't installed
}

ROOT_URLCONF = "shop.urls"
