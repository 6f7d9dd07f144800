"""A lab of network namespaces that shows the product working on one machine."""
