"""What LiteLLM's proxy does to answer `/spend/logs/v2`, without its database.

    python3 fastapi_proxy.py ROWS.jsonl

Started by pull.rs (README.md). Pages go out by FastAPI and uvicorn, one worker,
as LiteLLM 1.109 does it where nothing is set. The rows lie ready in memory as
dictionaries: LiteLLM asks Postgres for them, counts them for every page, and
looks up the key. So the real one is slower. Prints its port.
"""

import bisect
import json
import socket
import sys

import uvicorn
from fastapi import FastAPI

MOST_COUNTED = 10_000


def proxy(rows):
    app = FastAPI()
    starts = [row["startTime"] for row in rows]

    @app.get("/spend/logs/v2")
    async def logs(start_date: str, end_date: str, page: int = 1, page_size: int = 50):
        first = bisect.bisect_left(starts, start_date.replace(" ", "T"))
        # The second of the end is included.
        last = bisect.bisect_left(starts, f"{end_date.replace(' ', 'T')}.~")
        total = last - first
        begin = min(first + (page - 1) * page_size, last)
        return {
            "data": rows[begin : min(begin + page_size, last)],
            "total": min(total, MOST_COUNTED),
            "page": page,
            "page_size": page_size,
            "total_pages": -(-total // page_size),
            "total_is_capped": total > MOST_COUNTED,
        }

    return app


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(proxy(rows), log_level="warning", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
