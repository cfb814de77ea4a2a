"""Connections: uvicorn's protocol with bounds and deadlines, and responses that outlive their application."""
