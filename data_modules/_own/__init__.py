"""What stands behind `data_modules.folder`: options, tables, layouts, and a reader a file kind."""
