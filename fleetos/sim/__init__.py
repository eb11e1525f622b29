"""Simulated cloud: servers, jobs, images and tokens over HTTP, with declared faults.

It shares no code with the client that it tests: nothing here imports `fleetos.cloud`, `engine`, `rules`, `store`
or `planning`. A request goes from `server.asgi` or `in_process` to `api.gateway` (route, authentication, faults), to
`world` (OS changes and power), and ends with a response, a cut connection or a hang.
"""
