"""Secondary indexes over the engine: rows of typed columns, predicates on them, and what finds rows without reading all."""
