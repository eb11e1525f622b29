"""Support of the tests: builders, fakes and drivers that several rooms of them share. No test lives here."""
