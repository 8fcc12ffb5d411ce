"""The parameters in paths; the examples are those of the bodies, so that one follows from the other."""

from typing import Annotated

from fastapi import Path

UserName = Annotated[str, Path(description="The user's name, whatever its case.", examples=["alice"])]
GroupName = Annotated[str, Path(description="The group's name.", examples=["release-team"])]
RoleName = Annotated[str, Path(description="The role's name.", examples=["cleaner"])]
ProjectName = Annotated[str, Path(description="The project's name.", examples=["acme"])]
RobotName = Annotated[str, Path(description="The robot's name without its project's.", examples=["ci"])]
ServiceName = Annotated[
    str, Path(description="The service's name, which may hold slashes.", examples=["registry.example.com"])
]
Id = Annotated[str, Path(description="The `id` that its creation answered.", examples=["k3vq2d7m5xw4a6bz"])]
