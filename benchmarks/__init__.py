"""What the program costs and reaches, measured on the program itself; results/ keeps every row ever reported."""
