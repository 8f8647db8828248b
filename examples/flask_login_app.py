"""Flask-Login behind the gateway: people sign in to the app as ever, and clients get tokens for them.

`gunicorn -c gunicorn.conf.py examples.flask_login_app:app`. Everything down to the line is an app as it was before.
"""

import time

from flask import Flask, redirect, render_template_string, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user, user_logged_in

app = Flask(__name__)
app.secret_key = "for the example only"
manager = LoginManager(app)
manager.login_view = "login"
PASSWORDS = {"ann": "correct horse battery"}
FORM = """<!doctype html><title>The shop</title><h1>Sign in to the shop</h1>
<form method="post"><input name="name" aria-label="Name"><input name="password" type="password" aria-label="Password">
<button>Sign in</button></form>"""


class Customer(UserMixin):
    def __init__(self, name):
        self.id = name


@manager.user_loader
def load(name):
    return Customer(name) if name in PASSWORDS else None


@app.route("/login", methods=["GET", "POST"])
def login():
    name = request.form.get("name", "")
    if request.method == "POST" and PASSWORDS.get(name) == request.form.get("password"):
        login_user(Customer(name))
        following = request.args.get("next", "/")
        return redirect(following if following.startswith("/") and following[1:2] not in ("/", "\\") else "/")
    return render_template_string(FORM)


@app.get("/logout")
def logout():
    logout_user()
    return redirect("/login")


@app.get("/")
@login_required
def home():
    return f"<!doctype html><title>The shop</title>Welcome to the shop, {current_user.id}"


@app.get("/api/orders")
def orders():
    return {"customer": request.remote_user, "orders": []}


# -- what the gateway needs: who is signed in, by the app's own session; and when, for clients that ask

from oauth_gateway import OAuthGateway  # noqa: E402


@user_logged_in.connect_via(app)
def remember_when(sender, user):
    session["signed_in"] = time.time()


def signed_in(environ):
    """Flask-Login keeps the person's id in Flask's session under `_user_id`."""
    found = SecureCookieSessionInterface().open_session(app, app.request_class(environ)) or {}
    customer = load(found["_user_id"]) if "_user_id" in found else None
    return {"name": customer.id, "auth_time": found.get("signed_in")} if customer else None


app.wsgi_app = OAuthGateway(
    app.wsgi_app,
    authenticate=signed_in,
    login_url="/login",
    scopes={"orders": "See your orders"},
    routes=["* /api/** scope=orders", "* /** public"],  # the pages guard themselves, as ever
)
