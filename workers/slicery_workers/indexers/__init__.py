"""Indexers of the formats whose index is made of tables; see `tables.TableIndexer`."""
