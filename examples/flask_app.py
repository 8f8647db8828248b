"""A Flask app that knows nothing of OAuth, and one line around it: `oauth-gateway serve examples.flask_app:app`."""

from flask import Flask, jsonify, request

from oauth_gateway import OAuthGateway

app = Flask(__name__)


@app.get("/public/health")
def health():
    return jsonify(ok=True)


@app.get("/me")
def me():
    return jsonify(user=request.remote_user, scopes=sorted(request.environ["oauth_gateway.token"].scopes))


app.wsgi_app = OAuthGateway(
    app.wsgi_app,
    scopes={"read": "Read your things", "write": "Change your things"},
    routes=["GET /public/** public", "GET /me scope=read"],
)
