cmake_minimum_required(VERSION 3.25)

# Writes OUT, a header that says which commit of the sources is built; only when that has changed, so that nothing is compiled in vain.
# Empty where there is no repository (an unpacked archive).
execute_process(
  COMMAND git describe --always --dirty --abbrev=40 --exclude=*
  WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define COOPER_COMMIT \"@commit@\"\n" @ONLY)
