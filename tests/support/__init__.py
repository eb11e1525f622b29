"""Support of the tests, shared by several rooms of them: processes, judges, databases, proxies. No test lives here."""
