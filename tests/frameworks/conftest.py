"""Django is set up once, before what reads its settings is imported."""

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        SECRET_KEY="test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.frameworks.djangoviews",
        MIDDLEWARE=["qeetid_authz.frameworks.django.authz_middleware"],
        REST_FRAMEWORK={  # read when the framework is imported, and never again
            "DEFAULT_AUTHENTICATION_CLASSES": [
                "qeetid_authz.frameworks.drf.PrincipalAuthentication",
            ],
            "UNAUTHENTICATED_USER": None,
        },
        USE_TZ=True,
    )
    django.setup()
