"""The project's models as Authlib documents them, except that `user` may be null: some tokens are nobody's.

New is the last one. In a project of your own, `manage.py makemigrations` and `migrate` make its table.
"""

from django.conf import settings
from django.db import models


class OAuth2Client(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    client_id = models.CharField(max_length=48, unique=True)
    client_secret = models.CharField(max_length=48, blank=True)
    client_name = models.CharField(max_length=120)
    redirect_uris = models.TextField(default="")
    default_redirect_uri = models.TextField(default="")
    scope = models.TextField(default="")
    response_type = models.TextField(default="")
    grant_type = models.TextField(default="")
    token_endpoint_auth_method = models.CharField(max_length=120, default="")


class OAuth2Token(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    client_id = models.CharField(max_length=48, db_index=True)
    token_type = models.CharField(max_length=40)
    access_token = models.CharField(max_length=255, unique=True)
    refresh_token = models.CharField(max_length=255, db_index=True)
    scope = models.TextField(default="")
    revoked = models.BooleanField(default=False)
    issued_at = models.IntegerField()
    expires_in = models.IntegerField(default=0)


class GatewayRecord(models.Model):
    key = models.CharField(max_length=512, primary_key=True)
    kind = models.CharField(max_length=16)
    name = models.CharField(max_length=512, null=True, unique=True)
    look1 = models.CharField(max_length=512, null=True, db_index=True)
    look2 = models.CharField(max_length=512, null=True, db_index=True)
    look3 = models.CharField(max_length=512, null=True, db_index=True)
    ripe = models.FloatField(null=True)
    body = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["kind", "ripe"], name="gateway_record_ripe")]
