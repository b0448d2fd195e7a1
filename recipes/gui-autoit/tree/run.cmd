@echo off
rem AutoIt3.exe (autoitscript.com) goes beside this file; it is not part of the recipe.
if not exist "%~dp0AutoIt3.exe" (
    echo AutoIt3.exe is not in the bundle; copy it to the recipe's folder tree 1>&2
    exit /b 2
)
if not exist out mkdir out
"%~dp0AutoIt3.exe" /ErrorStdOut "%~dp0gui.au3"
exit /b %ERRORLEVEL%
