//! Kit for agent tools: the four tool traits, their spec, the registry.
