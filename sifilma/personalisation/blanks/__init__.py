"""The ledger of blank SAMs: delivered, issued to personalisation, personalised, failed, left."""
