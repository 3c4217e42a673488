# A server on the library of the protocol's authors, 2026-07-28.
from mcp.server.mcpserver import MCPServer

server = MCPServer("library", instructions="Counts letters.")


@server.tool()
def letters(text: str) -> int:
    """Counts the letters of a text."""
    return sum(one.isalpha() for one in text)


server.run("stdio")
