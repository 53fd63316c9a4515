"""Configurations of services, one per tenant and name. SQL for the ledger's database."""
