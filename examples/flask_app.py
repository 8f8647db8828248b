"""A Flask app that knows nothing of OAuth, and one line around it: `gunicorn examples.flask_app:app`."""

from flask import Flask, jsonify, request

from oauth_gateway import OAuthGateway, StepUpRequired

app = Flask(__name__)
app.register_error_handler(StepUpRequired, lambda error: error)  # only for handlers that demand more, like `files`


@app.get("/public/health")
def health():
    return jsonify(ok=True)


@app.get("/me")
def me():
    return jsonify(user=request.remote_user, scopes=sorted(request.environ["oauth_gateway.token"].scopes))


@app.post("/files")
def files():
    request.environ["oauth_gateway.require"]("write")
    return jsonify(stored=True)


app.wsgi_app = OAuthGateway(
    app.wsgi_app,
    scopes={"read": "Read your things", "write": "Change your things"},
    routes=["GET,HEAD /public/** public", "GET /me scope=read"],
)
