; Types a line into Notepad, saves it as out\note.txt, and takes a picture of the screen.
; Every wait has an end: a window that does not come is an error, never a hang.
#NoTrayIcon
#include <ScreenCapture.au3>
Opt("WinTitleMatchMode", 2) ; a part of the title
Opt("MustDeclareVars", 1)

Const $seconds = 30
Global $folder = @WorkingDir & "\out"
Global $file = $folder & "\note.txt"

Func Fail($what, $status)
    ConsoleWrite($what & @CRLF)
    _ScreenCapture_Capture($folder & "\failed.png")
    Exit $status
EndFunc

Global $process = Run("notepad.exe", "", @SW_SHOW)
If $process = 0 Then Fail("notepad.exe does not start", 2)
Global $window = WinWait("[CLASS:Notepad]", "", $seconds)
If $window = 0 Then Fail("no window of Notepad after " & $seconds & " s; is a session open?", 3)
WinActivate($window)
If WinWaitActive($window, "", $seconds) = 0 Then Fail("the window does not come to the front", 4)
Send("Written by webjob", 1) ; 1: as it is, no keys
Send("^s")
Global $dialog = WinWait("[CLASS:#32770]", "", $seconds)
If $dialog = 0 Then Fail("no dialog to save", 5)
ControlSetText($dialog, "", "Edit1", $file)
ControlClick($dialog, "", "Button2")
If WinWaitClose($dialog, "", $seconds) = 0 Then Fail("the dialog stays open", 6)
_ScreenCapture_Capture($folder & "\done.png")
WinClose($window)
If ProcessWaitClose($process, $seconds) = 0 Then ProcessClose($process)
If Not FileExists($file) Then Fail("nothing was saved", 7)
ConsoleWrite("saved " & FileGetSize($file) & " bytes" & @CRLF)
Exit 0
