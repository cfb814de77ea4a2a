"""The route of mappings: which of them a client may name, and what files they are for."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from carecase_worker.intake.access.authenticator import Caller
from carecase_worker.intake.batches.mappings import Mappings
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.requests.negotiation import json_type_of


def mapping_routes(mappings: Mappings, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """Make the route that lists the caller's mappings."""
    router = APIRouter(tags=["CareCases"])

    @router.get("/mappings", operation_id="ListMappings", summary="Mappings of the caller's files", status_code=200)
    async def list_mappings(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
        content = envelope(request.scope["carecase.activity"], mappings.documents(who.client))
        return Response(content, 200, {"Vary": "Accept"}, json_type_of(request))

    return router
