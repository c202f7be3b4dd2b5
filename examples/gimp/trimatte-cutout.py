#!/usr/bin/env python3
"""A plug-in for GIMP 3: the subject as a new layer, by a running `trimatte serve`.

Copy it to plug-ins/trimatte-cutout/trimatte-cutout.py in GIMP's folder, and make it executable. TRIMATTE_URL names
another service than the one of this machine, TRIMATTE_TOKEN its token.
"""

import http.client
import json
import os
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

NAME = "trimatte-cutout"
WANTED = "start `trimatte serve`, or name another service in TRIMATTE_URL"


def cut_out(photo: bytes, **parameters: str) -> bytes:
    """The cut-out as PNG, of a picture in a format that the service reads. `OSError` has the service's words."""
    service = os.environ.get("TRIMATTE_URL", "http://127.0.0.1:8000").rstrip("/")
    address = f"{service}/v1/cutout?{urllib.parse.urlencode({'format': 'png', **parameters})}"
    headers = {"Content-Type": "application/octet-stream"}
    if token := os.environ.get("TRIMATTE_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, photo, headers)) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.headers.get_content_type() != "application/problem+json":
            raise OSError(f"what answers at {service} is not trimatte ({error}): {WANTED}") from error
        raise OSError(json.load(error)["detail"]) from error
    except urllib.error.URLError as error:
        raise OSError(f"nothing answers at {service} ({error.reason}): {WANTED}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{service} is no address of a service ({error}): {WANTED}") from error


def main() -> None:
    """Register with GIMP."""
    import gi

    gi.require_version("Gimp", "3.0")
    from gi.repository import Gimp, Gio, GLib

    class Trimatte(Gimp.PlugIn):
        def do_query_procedures(self):
            return [NAME]

        def do_set_i18n(self, name):
            return False

        def do_create_procedure(self, name):
            procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
            procedure.set_image_types("RGB*, GRAY*")
            procedure.set_menu_label("Cut out the subject")
            procedure.add_menu_path("<Image>/Layer/Transparency")
            procedure.set_documentation("Cut out the subject", "The subject as a new layer, by trimatte.", name)
            procedure.set_attribution("The trimatte developers", "Apache-2.0", "2026")
            return procedure

        def run(self, procedure, run_mode, image, drawables, config, data):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "picture.png")
                file, quiet = Gio.File.new_for_path(path), Gimp.RunMode.NONINTERACTIVE
                Gimp.file_save(quiet, image, file, None)
                try:
                    with open(path, "rb") as picture:
                        made = cut_out(picture.read())
                except OSError as error:
                    status = Gimp.PDBStatusType.EXECUTION_ERROR
                    return procedure.new_return_values(status, GLib.Error(f"trimatte: {error}"))
                with open(path, "wb") as picture:
                    picture.write(made)
                layer = Gimp.file_load_layer(quiet, image, file)
                layer.set_name("Cut-out")
                image.insert_layer(layer, None, 0)
            Gimp.displays_flush()
            return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())

    Gimp.main(Trimatte.__gtype__, sys.argv)


if __name__ == "__main__":
    main()
