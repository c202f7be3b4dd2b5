"""The editor in the browser: a static page, and the sessions behind it.

`routes` gives what a Starlette application mounts at its root, `editor_app` an application of the editor alone. Page
and files (`/`, `/editor/...`) hold nothing private and must be served without a token; the page asks for one where
`/v1/edit/...` answers 401.
"""

from __future__ import annotations

from trimatte.server.editor.endpoints import editor_app, routes
from trimatte.server.editor.session import Session
from trimatte.server.editor.sessions import Sessions

__all__ = ["Session", "Sessions", "editor_app", "routes"]
