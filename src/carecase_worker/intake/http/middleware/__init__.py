"""Middleware: ASGI applications around the routes, which every request passes."""
