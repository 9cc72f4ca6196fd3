"""Effects out: alias moves and the ledger. The only code that writes anywhere but into reports."""
