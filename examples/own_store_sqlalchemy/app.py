"""The shop with the gateway around it: `SHOP_SECRET=… gunicorn -c gunicorn.conf.py examples.own_store_sqlalchemy.app:app`."""

import os

from oauth_gateway import OAuthGateway

from . import shop
from .store import open_shop

app = OAuthGateway(
    shop.app,
    database=open_shop(),
    secret=os.environ["SHOP_SECRET"],  # 32 bytes or more, the same for every process
    scopes={"orders": "See your orders"},
)
