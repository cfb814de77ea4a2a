"""Connections: uvicorn's protocol with bounds and deadlines, and responses that outlast their application."""
