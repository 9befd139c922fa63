# What `cmake --install` (./dev install) puts where.
include(GNUInstallDirs)

foreach(program coop cooper)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
# Programs that people do not call themselves.
foreach(program cooper-init cooper-fetch cooper-inflate conmon)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/cooper)
  endif()
endforeach()

# Only the builds that are installed ask cooper for its own pages.
if(TARGET cooper AND NOT COOPER_SANITIZE AND NOT COOPER_COVERAGE AND NOT COOPER_FUZZ)
  set(COOPER_CAN_ASK ON)
endif()

# Manual pages are written in scdoc: docs/man/NAME.SECTION.scd, and what cooper prints from its own table of commands.
find_program(SCDOC scdoc)
function(cooper_manual_page page source)
  set(built ${CMAKE_BINARY_DIR}/man/${page})
  add_custom_command(OUTPUT ${built} DEPENDS ${source} ${ARGN}
    COMMAND sh -c "'${SCDOC}' <'${source}' >'${built}.new' && mv '${built}.new' '${built}'" VERBATIM)
  set_property(GLOBAL APPEND PROPERTY COOPER_MANUAL_PAGES ${built})
  string(REGEX MATCH "[0-9]$" section ${page})
  install(FILES ${built} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()

if(SCDOC)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/man)
  file(GLOB manual_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.scd)
  foreach(source ${manual_sources})
    get_filename_component(page ${source} NAME_WLE)
    cooper_manual_page(${page} ${source})
  endforeach()
  if(COOPER_CAN_ASK)
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man/cooper.1.scd DEPENDS cooper
      COMMAND sh -c "'$<TARGET_FILE:cooper>' __man >'${CMAKE_BINARY_DIR}/man/cooper.1.scd'" VERBATIM)
    cooper_manual_page(cooper.1 ${CMAKE_BINARY_DIR}/man/cooper.1.scd)
  endif()
  get_property(manual_pages GLOBAL PROPERTY COOPER_MANUAL_PAGES)
  add_custom_target(manual ALL DEPENDS ${manual_pages})
endif()

if(COOPER_CAN_ASK)
  set(completion ${CMAKE_BINARY_DIR}/completion/cooper)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/completion)
  add_custom_command(OUTPUT ${completion} DEPENDS cooper
    COMMAND sh -c "'$<TARGET_FILE:cooper>' completion bash >'${completion}'" VERBATIM)
  add_custom_target(completion ALL DEPENDS ${completion})
  install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
