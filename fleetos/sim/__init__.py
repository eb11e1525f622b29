"""The simulated cloud: servers, jobs, images and tokens over HTTP, with faults by declaration.

It shares no code with the client that it tests: nothing here imports `fleetos.cloud`, `engine`, `rules`, `store`
or `planning`. The way of a request: `app` or `transport` -> `cloud` (routes, token, fault table) -> `orders`
(changes and power, the law of the world) -> a reply, a cut or a hang.
"""
