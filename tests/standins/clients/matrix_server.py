"""Matrix’s own server, Synapse, on a free loopback port, with its data in the folder that is the argument. Prints its address
as soon as it listens."""

import contextlib
import json
import os
import sys

from synapse.app import homeserver
from twisted.internet import reactor

folder = sys.argv[1]


def at(name):
    return os.path.join(folder, name)


without_limit = {"per_second": 1000, "burst_count": 1000}
with open(at("log.json"), "w", encoding="utf-8") as file:
    handler = {"class": "logging.FileHandler", "filename": at("log")}
    root = {"level": "WARNING", "handlers": ["file"]}
    json.dump({"version": 1, "handlers": {"file": handler}, "root": root}, file)
with open(at("homeserver.json"), "w", encoding="utf-8") as file:
    json.dump({
        "server_name": "example.org",
        "listeners": [{
            "port": 0, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}],
        }],
        "database": {"name": "sqlite3", "args": {"database": at("synapse.db")}},
        "log_config": at("log.json"),
        "media_store_path": at("media"),
        "pid_file": at("pid"),
        "signing_key_path": at("signing.key"),
        "macaroon_secret_key": "for tests",
        "form_secret": "for tests",
        "bcrypt_rounds": 4,
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "rc_message": without_limit,
        "rc_registration": without_limit,
        "report_stats": False,
        "trusted_key_servers": [],
    }, file)

listen = reactor.listenTCP


def telling(*args, **more):
    port = listen(*args, **more)
    print(f"http://127.0.0.1:{port.getHost().port}", file=sys.__stdout__, flush=True)
    return port


reactor.listenTCP = telling
command = [sys.argv[0], "-c", at("homeserver.json")]
# It ends after it has made its key.
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
    sys.argv = [*command, "--generate-keys"]
    homeserver.main()
sys.argv = command
homeserver.main()
